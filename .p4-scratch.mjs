import { readFileSync } from "node:fs";
import pg from "pg";
const v=18;
const {port} = JSON.parse(readFileSync(`/tmp/pgx/${v}.json`));
const c = new pg.Client({ host: "127.0.0.1", port, user: process.argv[2], password: process.argv[3], database: "postgres" }); await c.connect();
let made=0;
const time = async (label, f, n=20) => { const t=performance.now(); for (let i=0;i<n;i++) await c.query(f(i)); console.log("  ", label, ((performance.now()-t)/n).toFixed(2)); };
for (const N of [0,1000,3000,6000]) {
  while (made<N) { await c.query("create role m"+(made++)); }
  console.log("N", N);
  await time("create", i=>`create role k${i} login`);
  await time("grant", i=>`grant app_ro to k${i} with inherit true, set false`);
  await time("alter", i=>`alter role k${i} nologin`);
  await time("revoke", i=>`revoke app_ro from k${i}`);
  await time("drop", i=>`drop role k${i}`);
}
let t=performance.now(); for (let i=0;i<made;i+=500) await c.query(Array.from({length:500},(_, j)=>"drop role if exists m"+(i+j)).join(";")); console.log("cleanup", performance.now()-t);
await c.end();
