import type { PoolClient } from '#platform/postgres';
import { mergeSets } from '#streams/engine';
import { setsText } from './literals.ts';
import type { ChangedWindow } from './windows.ts';

/**
 * Merges the sets of a batch into those of its windows, because PostgreSQL cannot merge sketches. The transaction has locked
 * their rows.
 * @param windows without the sets of the batch
 * @returns the windows with them
 */
export async function addSets(tx: PoolClient, windows: readonly ChangedWindow[]): Promise<ChangedWindow[]> {
  const merged = windows.map((window) => {
    const { sets, counts } = mergeSets(window.plan.layout.accumulators, window.sets, window.delta.sets());
    return { ...window, accumulators: window.accumulators.map((value, i) => counts.get(i) ?? value), sets };
  });
  const changed = merged.filter(({ sets }, i) => sets.some((set, own) => set !== windows[i]!.sets[own]));
  if (changed.length === 0) return merged;
  await tx.query({
    name: 'windows-sets',
    text: `UPDATE stream_windows w SET accumulators = t.accumulators::numeric[], sets = t.sets::text[]
      FROM unnest($1::int[], $2::float8[], $3::text[], $4::text[], $5::text[]) AS t(query_id, start, key, accumulators, sets)
      WHERE w.query_id = t.query_id AND w.window_start = to_timestamp(t.start / 1000)::timestamptz(3) AND w.key = t.key`,
    values: [
      changed.map(({ plan }) => plan.id),
      changed.map(({ start }) => start),
      changed.map(({ key }) => key),
      changed.map(({ accumulators }) => `{${accumulators.join(',')}}`),
      changed.map(({ sets }) => setsText(sets)),
    ],
  });
  return merged;
}
