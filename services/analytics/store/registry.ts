import type { Pool } from '#kit/pg.ts';
import { transaction } from '#kit/pg.ts';
import { PlanSet, planOf } from '../engine/plan.ts';
import type { Plan } from '../engine/plan.ts';
import type { StreamQuery } from '../query/stream-query.ts';

/** Names the lock under which versions are given out: two processes that start together must agree. */
const lock = 'millrace stream queries';

/**
 * Gives each query its version: that of its name's latest definition where the fingerprint is the same, else the next one.
 * The windows of another definition are never touched.
 */
export async function registerQueries(pool: Pool, queries: readonly StreamQuery[]): Promise<PlanSet> {
  return transaction(pool, async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(hashtext($1))', [lock]);
    const { rows: latest } = await tx.query<{ id: number; name: string; version: number; fingerprint: string }>(
      'SELECT DISTINCT ON (name) id, name, version, fingerprint FROM stream_queries ORDER BY name, version DESC',
    );
    const plans: Plan[] = [];
    for (const query of queries) {
      const known = latest.find(({ name }) => name === query.name);
      if (known?.fingerprint === query.fingerprint) {
        const plan = planOf(query, known.id, known.version);
        await tx.query(
          'UPDATE stream_queries SET retention_ms = $2 WHERE id = $1 AND retention_ms IS DISTINCT FROM $2',
          [known.id, query.window?.retention ?? null],
        );
        plans.push(plan);
      } else {
        const version = (known?.version ?? 0) + 1;
        const { clock } = planOf(query, 0, version);
        const { rows } = await tx.query<{ id: number }>(
          `INSERT INTO stream_queries (name, version, fingerprint, clock, topics, retention_ms)
           VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
          [
            query.name,
            version,
            query.fingerprint,
            clock,
            query.from.map(({ topic }) => topic),
            query.window?.retention ?? null,
          ],
        );
        plans.push(planOf(query, rows[0]!.id, version));
      }
    }
    return new PlanSet(plans);
  });
}
