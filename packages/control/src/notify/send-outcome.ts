/** How sending went. `targetFailed`: others to the same target need not be tried now; `permanent`: this one never again. */
export type SendOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly detail: string; readonly targetFailed: boolean; readonly permanent?: true };
