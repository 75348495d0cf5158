/** What an outpost says of a resource, taken in: its specification is kept only if the outpost signed exactly it, as its own. */
import type { Enrolment } from "@cardea/core/wire/enrolment";
import type { ResourceReport } from "@cardea/core/wire/link";
import { markSeedOf, resourceIdOf } from "@cardea/core/contract/outpost-marks";
import { digestOf } from "@cardea/core/documents/digest";
import { toTime } from "@cardea/core/documents/primitives";
import { verifyDigest } from "@cardea/core/documents/signature";
import { fromBase64Url } from "@cardea/core/lib/base64url";
import type { Control, Tx } from "../control.ts";
import { record } from "../audit/record.ts";
import { maybeOneResource, storeReport, type ReportedResource, type StoredResource } from "../store/resources.ts";

/** Stores the report, and logs what it changes. A report that the outpost may not make is logged as refused, and changes nothing. */
export async function takeReport(tx: Tx, control: Control, outpost: Enrolment, report: ResourceReport): Promise<void> {
  const known = await maybeOneResource(tx, { name: report.name });
  const refusal = whyRefused(control, outpost, report, known);
  if (refusal !== undefined) {
    control.log.warn({ outpost: outpost.id, resource: report.name }, `a report was refused: ${refusal}`);
    await record(tx, control, {
      type: "security.refused",
      ids: { outpost: outpost.id },
      data: { what: "resource report", resource: report.name, why: refusal },
    });
    return;
  }
  const spec =
    report.spec === undefined || report.specSignature === undefined
      ? undefined
      : { document: report.spec, digest: digestOf("spec", report.spec), signature: report.specSignature };
  const stored: ReportedResource = {
    id: report.resource,
    name: report.name,
    outpost: outpost.id,
    state: report.state,
    detail: report.detail,
    version: report.version,
    missing: report.missing,
    warnings: report.warnings,
    spec,
    publicPrivileges: report.publicPrivileges,
    at: toTime(control.clock.now()),
  };
  await storeReport(tx, stored);
  const ids = { resource: report.resource, outpost: outpost.id };
  if (known === undefined) {
    await record(tx, control, {
      type: "resource.registered",
      ids,
      data: { name: report.name, state: report.state, ...(spec !== undefined && { specDigest: spec.digest }) },
    });
  } else if (spec !== undefined && spec.digest !== known.spec?.digest) {
    await record(tx, control, { type: "resource.changed", ids, data: { name: report.name, specDigest: spec.digest } });
  }
}

function whyRefused(
  control: Control,
  outpost: Enrolment,
  report: ResourceReport,
  known: StoredResource | undefined,
): string | undefined {
  if (report.resource !== resourceIdOf(markSeedOf(control.keys.installation, outpost.name), report.name))
    return "the id does not follow from the outpost's name and the resource's";
  if (known !== undefined && known.outpost !== outpost.id)
    return `the name belongs to the outpost \`${known.outpost}\``;
  const { spec, specSignature } = report;
  if (spec === undefined)
    return report.publicPrivileges === undefined ? undefined : "what everybody may comes without a specification";
  if (spec.id !== report.resource || spec.name !== report.name || spec.outpost !== outpost.id)
    return "the specification is of another resource";
  if (
    specSignature === undefined ||
    !verifyDigest(specSignature, "outpost", fromBase64Url(outpost.identityKey), digestOf("spec", spec))
  ) {
    return "the specification does not bear the outpost's signature";
  }
  const { publicPrivileges } = report;
  if (publicPrivileges !== undefined && digestOf("public-privileges", publicPrivileges) !== spec.publicPrivileges)
    return "what everybody may is not what the specification names";
  return undefined;
}
