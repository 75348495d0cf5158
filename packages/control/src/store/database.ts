import type { LogTables } from "./log.ts";
import type { ConfigurationTables } from "./configurations.ts";
import type { GrantTables } from "./grants.ts";
import type { OutpostTables } from "./outposts.ts";
import type { PeopleTables } from "./people.ts";
import type { PolicyTables } from "./policies.ts";
import type { RecordingTables } from "./recordings.ts";
import type { RequestTables } from "./requests.ts";
import type { ResourceTables } from "./resources.ts";
import type { RunTables } from "./runs.ts";
import type { SessionTables } from "./sessions.ts";
import type { TaskTables } from "./tasks.ts";
import type { NotificationTables } from "./notifications.ts";
import type { ApiTables } from "./api-state.ts";

/** Every table of the control plane; each aggregate's file names its own. */
export interface Database
  extends
    RequestTables,
    GrantTables,
    LogTables,
    PolicyTables,
    PeopleTables,
    OutpostTables,
    ResourceTables,
    ConfigurationTables,
    TaskTables,
    SessionTables,
    RecordingTables,
    RunTables,
    NotificationTables,
    ApiTables {}
