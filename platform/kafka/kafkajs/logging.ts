import type { logCreator } from 'kafkajs';
import type { Logger } from '#platform/telemetry';

/** A repeated line of kafkajs is logged once in this time, in milliseconds. */
const quietMs = 30_000;
const maxRemembered = 200;

const levels = { 1: 'warn', 2: 'warn', 4: 'debug', 5: 'trace' } as const;

/** Messages of normal operation, or that the code that uses kafkajs reports; kafkajs logs them as errors or warnings. */
const ordinary =
  /rebalanc|not aware of this member|re-joining|Crash|Response (JoinGroup|SyncGroup|Heartbeat|OffsetCommit|GroupCoordinator)/i;

/**
 * Writes kafkajs's log to ours, one level lower, because the code that uses kafkajs reports what matters. A line that was
 * logged within the last 30 s is only counted.
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
