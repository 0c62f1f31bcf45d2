import type { Mutant } from '../mutant.ts';

export const database: readonly Mutant[] = [
  {
    name: 'timeout-is-the-fault-of-the-event',
    breaks: 'A statement that waits too long for a locked table makes a dead letter of a good event',
    file: 'platform/postgres/errors.ts',
    from: "|| state === 'P0001') return 'work';",
    to: "|| state === 'P0001' || state === '57014') return 'work';",
    testFile: 'platform/postgres/errors.test.ts',
    test: 'of all codes of PostgreSQL, only those of the data are faults of the work',
  },
  {
    name: 'lost-commit-is-undone',
    breaks: 'A transaction whose COMMIT was lost counts as undone',
    file: 'platform/postgres/pool.ts',
    from: 'if (!isCommitting) markUndone(error);',
    to: 'markUndone(error);',
    testFile: 'platform/postgres/outage.test.ts',
    test: 'after a lost COMMIT the outcome is unknown; after a statement before it, the work is undone',
  },
  {
    name: 'pooler-not-refused',
    breaks: 'A service starts behind a pooler of transactions, where its leases and locks are of other sessions',
    file: 'platform/postgres/sessions.ts',
    from: 'if (other === idle) {',
    to: 'if (other < 0) {',
    testFile: 'platform/postgres/sessions.test.ts',
    test: 'is refused where two connections share a session',
  },
  {
    name: 'required-field-of-an-event',
    breaks: 'A new required field of an event fits the check of contracts, though older events do not have it',
    file: 'platform/contract/compatibility.ts',
    from: "if (direction === 'event')\n    found.push(\n      ...added",
    to: "if (direction === 'received')\n    found.push(\n      ...added",
    testFile: 'platform/contract/compatibility.test.ts',
    test: 'an event may gain an optional field, and nothing that a reader of either version refuses',
  },
  {
    name: 'breaker-counts-callers-that-leave',
    breaks: 'A caller that leaves counts as a failure of the service, and opens its circuit for all',
    file: 'platform/http/breaker.ts',
    from: "if (outcome === 'abandoned') return;",
    to: '',
    testFile: 'platform/http/breaker.test.ts',
    test: 'stays closed while most calls succeed, and where callers leave',
  },
];
