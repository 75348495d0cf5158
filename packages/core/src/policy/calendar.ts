/**
 * The fields of an instant in a time zone, as CEL's timestamp getters define them (months and days of the month from 0, Sunday is 0). Reads
 * the zone's own calendar: the process's zone plays no part. An unknown zone throws a RangeError.
 */
export type CalendarField = (ms: number, zone: string) => number;

interface Parts {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function partsIn(ms: number, zone: string): Parts {
  if (zone === "UTC") {
    const at = new Date(ms);
    return {
      year: at.getUTCFullYear(),
      month: at.getUTCMonth() + 1,
      day: at.getUTCDate(),
      hour: at.getUTCHours(),
      minute: at.getUTCMinutes(),
      second: at.getUTCSeconds(),
    };
  }
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formats.set(zone, format);
  }
  const found: Record<string, number> = {};
  for (const part of format.formatToParts(ms)) found[part.type] = Number(part.value);
  const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = found;
  return { year, month, day, hour, minute, second };
}

function dayNumber(parts: Parts): number {
  return Date.UTC(parts.year, parts.month - 1, parts.day) / 86_400_000;
}

export const calendarFields: Readonly<Record<string, CalendarField>> = {
  getFullYear: (ms, zone) => partsIn(ms, zone).year,
  getMonth: (ms, zone) => partsIn(ms, zone).month - 1,
  getDate: (ms, zone) => partsIn(ms, zone).day,
  getDayOfMonth: (ms, zone) => partsIn(ms, zone).day - 1,
  // 1970-01-01 was a Thursday.
  getDayOfWeek: (ms, zone) => (((dayNumber(partsIn(ms, zone)) + 4) % 7) + 7) % 7,
  getDayOfYear: (ms, zone) => {
    const parts = partsIn(ms, zone);
    return dayNumber(parts) - Date.UTC(parts.year, 0, 1) / 86_400_000;
  },
  getHours: (ms, zone) => partsIn(ms, zone).hour,
  getMinutes: (ms, zone) => partsIn(ms, zone).minute,
  getSeconds: (ms, zone) => partsIn(ms, zone).second,
};
