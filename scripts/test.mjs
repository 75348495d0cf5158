// `npm test`: set-up, real servers from Debian where they can be installed, then every test. Arguments go to vitest
// (`npm test -- packages/core`). The last line is always `N passed, N failed`, followed by `, N skipped` where some
// were. Under CI=true nothing may be skipped.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { prepare, root } from "./prepare.mjs";

/** What the tests use beside npm's packages; `found` looks where they will look. */
const servers = [
  { apt: "postgresql-15", what: "PostgreSQL 15", found: () => existsSync("/usr/lib/postgresql/15/bin/postgres") },
  { apt: "postgresql-client-15", what: "psql", found: () => onPath("psql") },
  { apt: "openssh-client", what: "ssh-keygen", found: () => onPath("ssh-keygen") },
  { apt: "pgbouncer", what: "PgBouncer", found: () => existsSync("/usr/sbin/pgbouncer") },
];

prepare("everything");
installServers();
process.exitCode = await runTests(process.argv.slice(2));

function onPath(command) {
  return (process.env["PATH"] ?? "").split(":").some((folder) => folder !== "" && existsSync(join(folder, command)));
}

function installServers() {
  const missing = servers.filter((server) => !server.found());
  if (missing.length === 0) return;
  const packages = missing.map((server) => server.apt);
  if (process.getuid?.() === 0 && onPath("apt-get")) {
    say(`installing ${packages.join(", ")}`);
    // RUNLEVEL=1 keeps the packages from starting services: the tests start their own, in folders of their own.
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
    const apt = (...args) =>
      spawnSync("apt-get", ["-qq", ...args], { env, stdio: ["ignore", "ignore", 2] }).status === 0;
    if (apt("update")) apt("install", "-y", "--no-install-recommends", ...packages);
  }
  for (const server of missing) {
    if (!server.found()) {
      say(`${server.what} is missing, so the tests that need it are skipped; as root: apt-get install ${server.apt}`);
    }
  }
}

async function runTests(args) {
  const totalsPath = join(root, `node_modules/.cache/cardea/totals-${process.pid}.json`);
  mkdirSync(dirname(totalsPath), { recursive: true });
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const child = spawn(process.execPath, [vitest, "run", ...args], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, CARDEA_TEST_TOTALS: totalsPath },
  });
  // A terminal's Ctrl-C reaches vitest by itself; we only outlive it, to print the totals.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  const status = await new Promise((resolve) => {
    child.once("error", () => resolve(1));
    child.once("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
  const totals = takeTotals(totalsPath, status);
  const skippedInCi = process.env["CI"] === "true" && totals.skipped > 0;
  if (skippedInCi) say("nothing may be skipped under CI=true");
  const skipped = totals.skipped === 0 ? "" : `, ${totals.skipped} skipped`;
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed${skipped}\n`);
  if (status !== 0) return status;
  return totals.failed > 0 || skippedInCi ? 1 : 0;
}

// A run that failed without a failing test (no test found, killed, crashed) still has to show a failure.
function takeTotals(path, status) {
  const none = { passed: 0, failed: 0, skipped: 0 };
  const totals = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : none;
  rmSync(path, { force: true });
  return status !== 0 && totals.failed === 0 ? { ...totals, failed: 1 } : totals;
}

function say(message) {
  process.stderr.write(`cardea: ${message}\n`);
}
