import type { Page } from "@cardea/core/wire/api/conventions";

/** Entries that one call gives at most. */
const pageSize = 200;

/** As many entries as wanted, over as many calls as it takes; `next` where there are more. */
export async function takePages<Item>(
  limit: number,
  read: (query: { readonly limit: number; readonly cursor: string | undefined }) => Promise<Page<Item>>,
): Promise<Page<Item>> {
  const items: Item[] = [];
  let cursor: string | undefined;
  do {
    const page = await read({ limit: Math.min(pageSize, limit - items.length), cursor });
    items.push(...page.items);
    cursor = page.items.length === 0 ? undefined : page.next;
  } while (cursor !== undefined && items.length < limit);
  return { items, ...(cursor !== undefined && { next: cursor }) };
}

/** Every entry there is. */
export async function takeAll<Item>(
  read: (query: { readonly limit: number; readonly cursor: string | undefined }) => Promise<Page<Item>>,
): Promise<readonly Item[]> {
  return (await takePages(Number.POSITIVE_INFINITY, read)).items;
}
