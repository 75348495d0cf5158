-- The control plane's newest word on how each resource that came sealed is configured.

create table resource_configurations (
  resource_id text not null,
  digest text not null,
  document text not null,
  signatures jsonb not null,
  constraint resource_configurations_pkey primary key (resource_id),
  constraint resource_configurations_resource_fkey foreign key (resource_id) references resources (id)
);

comment on table resource_configurations is 'signed documents; the next one counts on from the version here, and the outpost believes no older one';
comment on table tasks is 'sent until receipted, at least once; a row opens nothing: evidence is assembled when it is sent, a configuration is signed, and the outpost judges both';
