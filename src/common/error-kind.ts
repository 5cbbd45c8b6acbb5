/** Only the kind of error, for log lines: its text may hold data. */
export const errorKind = (error: unknown): string => (error instanceof Error ? error.name : typeof error);
