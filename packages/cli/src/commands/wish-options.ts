import { Option, type Command } from "commander";

/** The options by which every asking command says what it asks for. */
export interface WishOptions {
  readonly role: string;
  readonly for?: string;
  readonly why: string;
  readonly ticket?: string;
  readonly start?: string;
  readonly via?: "gateway" | "direct";
  readonly sessions?: string;
  readonly sourceIp?: string[];
  readonly breakGlass?: true;
  readonly timeout?: string;
}

export function withWishOptions(command: Command): Command {
  return command
    .option("--role <role>", "the role to ask for", "read")
    .option("--for <duration>", "how long, such as 30m or 2h; default: 1h")
    .option("--why <text>", "the justification that approvers and auditors read", "")
    .option("--ticket <id>", "the ticket that it is for")
    .option("--start <time>", "when the window begins (RFC 3339); default: on approval")
    .addOption(
      new Option("--via <way>", "how the key is delivered; default: as the rule says").choices(["gateway", "direct"]),
    )
    .option("--sessions <n>", "sessions open at once")
    .option("--source-ip <cidr...>", "addresses it may be used from")
    .option("--break-glass", "an emergency: allowed at once where policy says so, reviewed afterwards")
    .option("--timeout <duration>", "stop waiting after this long (exit 4); the request stays");
}
