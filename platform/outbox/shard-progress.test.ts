import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { advance } from './cursor.ts';
import type { RowPosition, ReadPosition } from './cursor.ts';
import { ShardProgress } from './shard-progress.ts';

const shard = 0;

interface Row extends RowPosition {
  key: number;
}

/** A database with transactions that lock the keys they write, as far as the relay can tell. */
class Model {
  committed: Row[] = [];
  #open = new Map<number, Row[]>();
  #locks = new Map<number, number>();
  #nextXid = 1;
  #nextId = 1;

  begin(): void {
    this.#open.set(this.#nextXid++, []);
  }

  /** Writes an event of the key in the n-th open transaction, unless another one holds the key's lock. */
  write(n: number, key: number): void {
    const xid = [...this.#open.keys()][n % Math.max(1, this.#open.size)];
    if (xid === undefined || (this.#locks.get(key) ?? xid) !== xid) return;
    this.#locks.set(key, xid);
    this.#open.get(xid)!.push({ shard, xid, id: this.#nextId++, key });
  }

  commit(n: number): void {
    const xid = [...this.#open.keys()][n % Math.max(1, this.#open.size)];
    if (xid === undefined) return;
    this.committed.push(...this.#open.get(xid)!);
    this.#open.delete(xid);
    for (const [key, owner] of this.#locks) if (owner === xid) this.#locks.delete(key);
  }

  commitAll(): void {
    while (this.#open.size > 0) this.commit(0);
  }

  get horizon(): number {
    return Math.min(this.#nextXid, ...this.#open.keys());
  }

  /** The statement of read.ts. */
  read(progress: ShardProgress, limit: number, holdBack: boolean): (Row & ReadPosition)[] {
    const [cursor] = progress.cursors;
    const ahead = new Set(progress.ahead);
    const rows = this.committed
      .filter((row) => row.xid > cursor!.xid || (row.xid === cursor!.xid && row.id > cursor!.id))
      .filter((row) => !ahead.has(row.id))
      .toSorted((a, b) => a.xid - b.xid || a.id - b.id);
    const head = rows.filter((row, i) => i < limit && (row.xid < this.horizon || !holdBack)).length;
    const lastId = Math.max(...rows.slice(0, head).map((row) => row.id));
    return rows
      .map((row, i) => ({ ...row, head: i < head, cut: rows.length > head }))
      .filter((row) => row.head || row.id < lastId);
  }
}

type Step =
  | { do: 'begin' }
  | { do: 'write'; n: number; key: number }
  | { do: 'commit'; n: number }
  | { do: 'relay'; failing: number | undefined; holdBack: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constant<Step>({ do: 'begin' }),
  fc.record({ do: fc.constant('write' as const), n: fc.nat({ max: 5 }), key: fc.nat({ max: 3 }) }),
  fc.record({ do: fc.constant('commit' as const), n: fc.nat({ max: 5 }) }),
  fc.record({
    do: fc.constant('relay' as const),
    failing: fc.option(fc.nat({ max: 1 }), { nil: undefined }),
    holdBack: fc.boolean(),
  }),
);

describe('ShardProgress', () => {
  it('has every event published, once, in the order in which those of its key happened', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.integer({ min: 1, max: 8 }), (steps, limit) => {
        const model = new Model();
        const progress = new ShardProgress();
        progress.own([{ shard, xid: 0, id: 0, isTaken: true }]);
        const sent: Row[] = [];
        const relay = (failing?: number, holdBack = false) => {
          const { horizon } = model;
          const rows = model.read(progress, limit, holdBack);
          const published = rows.toSorted((a, b) => a.id - b.id).filter((row) => row.key % 2 !== failing);
          sent.push(...published);
          progress.published(published);
          progress.follow({ rows, horizon });
          return rows.length;
        };
        for (const each of steps) {
          if (each.do === 'begin') model.begin();
          else if (each.do === 'write') model.write(each.n, each.key);
          else if (each.do === 'commit') model.commit(each.n);
          else relay(each.failing, each.holdBack);
        }
        model.commitAll();
        while (relay() > 0);
        relay();
        assert.deepEqual(new Set(sent.map((row) => row.id)), new Set(model.committed.map((row) => row.id)));
        assert.equal(sent.length, model.committed.length, 'nothing twice');
        for (const ofKey of Map.groupBy(sent, (row) => row.key).values()) {
          const ids = ofKey.map((row) => row.id);
          assert.deepEqual(
            ids,
            ids.toSorted((a, b) => a - b),
          );
        }
        assert.deepEqual(progress.ahead, [], 'the cursor has followed');
      }),
      { numRuns: 2_000 },
    );
  });

  it('is too far ahead, where all together are, in the shards that have their share of it', () => {
    const progress = new ShardProgress();
    progress.own([0, 1, 2, 3].map((own) => ({ shard: own, xid: 0, id: 0, isTaken: true })));
    const publish = (own: number, from: number, to: number) =>
      progress.published(Array.from({ length: to - from }, (_, i) => ({ shard: own, xid: 1, id: from + i })));
    publish(0, 0, 4_000);
    publish(1, 4_000, 4_999);
    assert.deepEqual(progress.farAhead, new Set());
    publish(1, 4_999, 5_200);
    assert.deepEqual(progress.farAhead, new Set([0]));
    publish(1, 5_200, 5_300);
    assert.deepEqual(progress.farAhead, new Set([0, 1]));
  });

  it('drops a shard whose cursor could not be stored', () => {
    const progress = new ShardProgress();
    progress.own([
      { shard: 0, xid: 5, id: 1, isTaken: true },
      { shard: 1, xid: 5, id: 1, isTaken: true },
    ]);
    progress.published([{ shard: 0, xid: 6, id: 9 }]);
    progress.follow({ rows: [{ shard: 0, xid: 6, id: 9, head: true, cut: false }], horizon: 7 });
    const { moved } = progress;
    assert.deepEqual(moved, [{ shard: 0, xid: 7, id: 0 }]);
    assert.deepEqual(progress.stored(moved, []), [0]);
    assert.deepEqual(progress.shards, [1]);
  });
});

describe('advance', () => {
  it('stops before what is not published, and at the horizon', () => {
    const cursor = { shard, xid: 1, id: 1 };
    const rows = [2, 3, 4].map((n) => ({ shard, xid: n, id: n * 10, head: true, cut: false }));
    const upTo = (id: number) => (row: RowPosition) => row.id <= id;
    assert.deepEqual(advance(cursor, rows, 9, upTo(20)), { shard, xid: 3, id: 29 });
    assert.deepEqual(advance(cursor, rows, 9, upTo(40)), { shard, xid: 9, id: 0 });
    assert.deepEqual(advance(cursor, rows, 3, upTo(40)), { shard, xid: 3, id: 0 });
    assert.equal(advance(cursor, rows, 9, upTo(0)).xid, 2);
  });
});
