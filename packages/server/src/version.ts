/** The release; equal to the packages' own versions. */
export const version = "0.1.0";
