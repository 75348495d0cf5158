// expect +0: house/file-names
export const anything = 1;
