import type { logCreator } from 'kafkajs';
import type { Logger } from '#platform/telemetry';

/** A line that kafkajs repeats is written once in this time, in milliseconds. */
const quietMs = 30_000;
const maxRemembered = 200;

const levels = { 1: 'warn', 2: 'warn', 4: 'debug', 5: 'trace' } as const;

/** What belongs to a normal day, or is said by the code that uses kafkajs; it calls these errors or warnings. */
const ordinary =
  /rebalanc|not aware of this member|re-joining|Crash|Response (JoinGroup|SyncGroup|Heartbeat|OffsetCommit|GroupCoordinator)/i;

/**
 * Routes kafkajs's own log to ours, one level lower than it shouts: what matters is reported by the code that uses it.
 * A line that was written within the last 30 s is counted instead of repeated.
 */
export function kafkajsLog(log: Logger, now: () => number = Date.now): logCreator {
  const written = new Map<string, { at: number; repeated: number }>();
  return () => (entry) => {
    const level = ordinary.test(entry.log.message) ? 'debug' : (levels[entry.level as keyof typeof levels] ?? 'debug');
    if (!log.isLevelEnabled(level)) return;
    const { message, broker, groupId, error } = entry.log as Record<string, unknown>;
    const line = `${entry.namespace}: ${String(message)}`;
    const last = written.get(line);
    if (last && now() - last.at < quietMs) {
      last.repeated += 1;
      return;
    }
    if (written.size >= maxRemembered) written.clear();
    written.set(line, { at: now(), repeated: 0 });
    log[level]({ broker, groupId, error, repeated: last?.repeated || undefined }, `kafkajs: ${line}`);
  };
}
