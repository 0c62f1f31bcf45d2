import type { OwnEvents } from '#platform/outbox';

/** How the event store finds what it has sent. */
export const orderEvents: OwnEvents = {
  topic: 'order-events',
  async find(session, events) {
    const versions = events.flatMap(({ id }) => {
      const [, orderId, version] = /^order-(\d{1,18})-(\d{1,9})$/.exec(id) ?? [];
      return version === undefined ? [] : [{ orderId, version }];
    });
    const { rows } = await session.query<{ id: string; created_at: Date }>(
      `SELECT o.id::text, o.created_at FROM unnest($1::bigint[], $2::int[]) AS e(order_id, version)
       JOIN order_events o USING (order_id, version)`,
      [versions.map(({ orderId }) => orderId), versions.map(({ version }) => version)],
    );
    return new Map(rows.map((row) => [row.id, row.created_at.getTime()]));
  },
};
