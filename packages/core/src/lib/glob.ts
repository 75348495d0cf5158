/**
 * Whether the whole text matches a glob in which `*` stands for any characters and every other character for itself. Takes time linear in
 * the product of both lengths at worst; there is no way to write one that does not end.
 */
export function matchesGlob(glob: string, text: string): boolean {
  const [head = "", ...rest] = glob.split("*");
  const tail = rest.pop();
  if (tail === undefined) return glob === text;
  if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false;
  let from = head.length;
  const end = text.length - tail.length;
  for (const part of rest) {
    // The leftmost place is as good as any: what follows only gets more room.
    const at = text.indexOf(part, from);
    if (at < 0 || at + part.length > end) return false;
    from = at + part.length;
  }
  return true;
}
