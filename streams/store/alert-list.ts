import type { Alert } from '#streams/contract';
import type { Pool } from '#platform/postgres';

export interface AlertFilter {
  severity?: string | undefined;
  type?: string | undefined;
  /** alerts with a smaller id, in decimal */
  before?: string | undefined;
  limit: number;
}

interface AlertRow {
  id: string;
  type: string;
  severity: Alert['severity'];
  message: string;
  key: string;
  window_start: Date | null;
  window_end: Date | null;
  value: string | null;
  threshold: string | null;
  created_at: Date;
}

/** Alerts, newest first. */
export async function listAlerts(pool: Pool, { severity, type, before, limit }: AlertFilter): Promise<Alert[]> {
  const values: unknown[] = [limit];
  const conditions: string[] = [];
  for (const [condition, value] of [
    ['severity =', severity],
    ['type =', type?.replaceAll('\0', '')],
    ['id <', before],
  ] as const) {
    if (value !== undefined) conditions.push(`${condition} $${values.push(value)}`);
  }
  const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
  const { rows } = await pool.query<AlertRow>(`SELECT * FROM alerts ${where} ORDER BY id DESC LIMIT $1`, values);
  return rows.map((row) => ({
    id: Number(row.id),
    type: row.type,
    severity: row.severity,
    message: row.message,
    key: row.key,
    windowStart: row.window_start?.toISOString() ?? null,
    windowEnd: row.window_end?.toISOString() ?? null,
    value: row.value === null ? null : Number(row.value),
    threshold: row.threshold === null ? null : Number(row.threshold),
    createdAt: row.created_at.toISOString(),
  }));
}
