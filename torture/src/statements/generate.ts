/** Scripts by chance: real statements and known ways round, mutated, nested, joined, and sent by every way that the protocol has. */
import { waysRound } from "@cardea/connectors/postgres/fixture/known-ways-round";
import { RandomSql } from "@cardea/connectors/postgres/fixture/random-sql";
import type { Dice } from "../kill/dice.ts";
import { scopes, type Scope } from "./ground.ts";
import type { Script } from "./oracle.ts";
import { tokensOf } from "./shrink.ts";
import type { Part, Unit } from "./speaker.ts";
import { names, ordinary, plays, types } from "./texts.ts";

/** What texts say that is different in each run. */
export interface Place {
  readonly file: string;
  readonly folder: string;
  /** Object ids of types whose values run something, for parameters. */
  readonly typeOids: readonly number[];
}

/** Files that texts speak of are moved to where a touch is seen. */
export function placed(text: string, { file, folder }: Place): string {
  return text.replaceAll("/etc/passwd", file).replaceAll("/tmp/cardea-planted", `${folder}/planted`);
}

export class Generator {
  readonly #dice: Dice;
  readonly #place: Place;
  readonly #random: RandomSql;

  constructor(dice: Dice, place: Place) {
    this.#dice = dice;
    this.#place = place;
    this.#random = new RandomSql(1 + dice.below(1_000_000));
  }

  script(): Script {
    const units: Unit[] = [];
    for (let left = 1 + this.#dice.below(3); left > 0; left -= 1) units.push(this.#unit());
    return { scope: this.#one<Scope>(scopes), inTransaction: this.#chance(50), units };
  }

  #unit(): Unit {
    if (this.#chance(55)) return { kind: "simple", text: this.#text() };
    const parts: Part[] = [];
    for (let left = this.#chance(70) ? 1 : 2 + this.#dice.below(2); left > 0; left -= 1) parts.push(...this.#parts());
    return { kind: "extended", parts };
  }

  /** One statement by the extended protocol, now and then with a step missing, doubled, or under a name that stands for another. */
  #parts(): Part[] {
    const name = this.#one(["", "", "p", "q"]);
    const portal = this.#one(["", "", "c", "p"]);
    let text = this.#text();
    const values: string[] = [];
    if (this.#chance(30))
      text = text.replace(/\b\d+\b|'[^']*'/, () => (values.push(this.#one(["1", "x", "orders"])), "$1"));
    else if (this.#chance(8)) {
      values.push("x");
      text = this.#one([
        "select $1",
        "select $1::text",
        "select $1 from orders",
        "select id from orders where $1 is not null",
      ]);
    }
    const typed = values.length > 0 && this.#chance(40) ? [this.#one(this.#place.typeOids)] : [];
    const parts: Part[] = [
      { is: "parse", text, name, types: typed },
      { is: "bind", name, portal, values },
      { is: "describe", what: "P", name: portal },
      { is: "execute", portal, rows: this.#one([0, 0, 1]) },
    ];
    if (this.#chance(10)) parts.push({ is: "execute", portal, rows: 0 });
    if (this.#chance(10)) parts.splice(1, 0, { is: "describe", what: "S", name });
    if (this.#chance(10)) parts.push({ is: "close", what: this.#one(["S", "P"]), name });
    if (this.#chance(15)) parts.splice(this.#dice.below(parts.length), 1);
    return parts;
  }

  #text(): string {
    let text = this.#chance(7) ? this.#random.statement() : this.#real();
    if (this.#chance(35)) return placed(text, this.#place);
    for (let edits = this.#one([1, 1, 1, 2, 3]); edits > 0; edits -= 1) text = this.#mutated(text);
    return placed(text, this.#place);
  }

  #real(): string {
    const kind = this.#dice.below(10);
    return this.#one(kind < 5 ? ordinary : kind < 8 ? plays : waysRound);
  }

  #mutated(text: string): string {
    const tokens = [...tokensOf(text)];
    const at = this.#dice.below(tokens.length + 1);
    const token = tokens[at] ?? "";
    const put = (...pieces: string[]): string => {
      tokens.splice(at, 1, ...pieces);
      return tokens.join("");
    };
    switch (this.#dice.below(24)) {
      case 0:
      case 1: {
        const other = tokensOf(this.#real());
        const from = this.#dice.below(other.length + 1);
        tokens.splice(at, this.#dice.below(4), ...other.slice(from, from + 1 + this.#dice.below(12)));
        return tokens.join("");
      }
      case 2: {
        const other = this.#dice.below(tokens.length + 1);
        return put(tokens[other] ?? "").concat(this.#chance(50) ? ` ${token}` : "");
      }
      case 3:
        return put();
      case 4:
      case 5:
      case 6:
        return /^\w+$/.test(token) ? put(this.#one(names)) : put(token, this.#one(names));
      case 7:
        return put(Array.from(token, (sign) => (this.#chance(50) ? sign.toUpperCase() : sign.toLowerCase())).join(""));
      case 8:
        return put(token, this.#one(["/**/", "/* orders */", "--\n", "/*/**/*/", "/*", "-- '\n", "/*'*/"]));
      case 9:
        return put(
          this.#one([" ", "\t", "\n", "\r\n", "\f", "\v", "\u00a0", "\u2003", "\ufeff", "\u200b", "\0"]),
          token,
        );
      case 10:
        return put(/^\w+$/.test(token) ? `"${token}"` : token);
      case 11:
        return put(/^[a-z_]+$/i.test(token) ? unicodeName(token) : token);
      case 12:
        return put(token.startsWith("'") ? this.#quoted(token.slice(1, -1)) : token);
      case 13: {
        const other = this.#real();
        return this.#one([`${text}; ${other}`, `${other};${text}`, `begin;${text};commit`, `;${text};;`]);
      }
      case 14: {
        const other = this.#real();
        return this.#one([
          `${text} union all ${other}`,
          `with x as (${other}) ${text}`,
          `with orders as (${text}) select * from orders`,
          `select * from (${text}) w, (${other}) v`,
          `select (${text} limit 1), id from orders`,
          `select id from orders where exists (${text})`,
          `select array(${text})`,
          `select id from orders order by (${text} limit 1)`,
        ]);
      }
      case 15:
        return this.#one([
          `(${text})`,
          `select * from (${text}) w`,
          `with w as materialized (${text}) select * from w`,
          `with w as (${text}) select 1`,
          `select 1 where false and exists (${text})`,
          `values ((${text} limit 1))`,
        ]);
      case 16:
        return this.#one([
          `explain ${text}`,
          `explain (analyze, verbose) ${text}`,
          `prepare p as ${text}`,
          `declare c cursor for ${text}`,
          `copy (${text}) to stdout`,
          `create temp table x9 as ${text}`,
          `create temp view orders as ${text}`,
          `do $$begin ${text}; end$$`,
          `select query_to_xml($q$${text}$q$, true, false, '')`,
          `insert into t1 (a) ${text}`,
        ]);
      case 17:
        return `${text}${this.#one([";", "--", "/*", "'", '"', "$$", "\\", " ;", "\0; drop table orders", " for update", " limit 1"])}`;
      case 18:
        return put(token, "::", this.#one(types));
      case 19:
        return text.replace(/\borders\b/, () => this.#one(names));
      case 20:
        return text.replace(/\bselect\b/i, () =>
          this.#one([
            "select distinct",
            "select all",
            `select ${this.#one(names)},`,
            "select *,",
            "select distinct on (1)",
          ]),
        );
      case 21:
        return `${text} ${this.#one(["where", "and", "or", "having", "group by", "order by", "returning", "window w as (order by"])} ${this.#one(names)}`;
      case 22:
        return put(token, ".", this.#one(names));
      default:
        return text.replace(/\d+/, () => this.#one(["1e9", "-1", "1_000", "0x1F", "$1", "null", "1.5", "99999999999"]));
    }
  }

  #quoted(text: string): string {
    const plain = text.replaceAll("''", "'");
    return this.#one([
      `E'${plain.replaceAll(/[\\']/g, "\\$&")}'`,
      `$$${plain}$$`,
      `$a$${plain}$a$`,
      `U&'${Array.from(plain, (sign) => `\\${(sign.codePointAt(0) ?? 0).toString(16).padStart(4, "0").slice(-4)}`).join("")}'`,
      `'${text.slice(0, 1)}'\n'${text.slice(1)}'`,
      `N'${text}'`,
      `E'${Array.from(Buffer.from(plain), (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}'`,
    ]);
  }

  #one<T>(list: readonly T[]): T {
    const item = list[this.#dice.below(list.length)];
    if (item === undefined) throw new Error("nothing to choose from");
    return item;
  }

  #chance(percent: number): boolean {
    return this.#dice.below(100) < percent;
  }
}

function unicodeName(name: string): string {
  return `U&"\\${name.charCodeAt(0).toString(16).padStart(4, "0")}${name.slice(1)}"`;
}
