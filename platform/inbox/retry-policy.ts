import type { BackoffOptions } from '#platform/lifecycle';

/** A message that fails by itself is given up after this many attempts, and becomes a dead letter. */
export const maxAttempts = 5;

/** The pauses between these attempts. */
export const messageBackoff: BackoffOptions = { firstMs: 100, maxMs: 5_000 };

/** The pauses between attempts while the database is unavailable: they end when it answers, and nothing is given up. */
export const databaseBackoff: BackoffOptions = { firstMs: 100, maxMs: 5_000 };
