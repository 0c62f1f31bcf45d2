import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Refusals } from './refusals.ts';

const hour = 3_600_000;
const mail = (id: number, attempts = 0) => ({ id: String(id), email: `user${id}@example.com`, attempts });

describe('Refusals', () => {
  it('count if a mail was sent in the same round, or since the refusals before', () => {
    const refusals = new Refusals();
    assert.equal(refusals.note(false, [mail(1)], 0), false, 'nothing was ever sent');
    assert.equal(refusals.note(true, [mail(1), mail(2)], 1), true);
    assert.equal(refusals.note(false, [mail(1, 1)], 2), true);
    assert.equal(refusals.note(false, [mail(1, 2)], 3), false, 'nothing was sent since');
    assert.equal(refusals.rounds, 2);
    assert.equal(refusals.forMs(9), 7, 'since the first one');
    assert.equal(refusals.note(true, [], 4), true);
    assert.equal(refusals.forMs(9), 0);
    assert.equal(refusals.note(false, [mail(1), mail(2)], 5), false, 'two recipients at once');
  });

  it("are the server's if they meet two recipients", () => {
    const refusals = new Refusals();
    refusals.note(true, [], 0);
    refusals.note(false, [mail(1), mail(1)], 1);
    refusals.note(false, [mail(1)], 99 * hour);
    assert.equal(refusals.isOfServer, false);
    refusals.note(false, [mail(2)], 99 * hour);
    assert.equal(refusals.isOfServer, true);
    assert.deepEqual(refusals.signs, ['1', '2']);
    refusals.note(true, [mail(1), mail(2)], 99 * hour);
    assert.equal(refusals.isOfServer, false);
  });

  it('say nothing about the server if their mails were refused while others were sent, within the last hour', () => {
    const refusals = new Refusals();
    refusals.note(true, [], 0);
    refusals.note(false, [mail(1, 1), mail(2, 3)], hour);
    assert.equal(refusals.isOfServer, false);
    refusals.note(false, [mail(1, 1), mail(2, 3)], hour + 1);
    assert.equal(refusals.isOfServer, true);
  });

  it("are the server's, whatever was counted before, if this process has sent nothing", () => {
    const refusals = new Refusals();
    refusals.note(false, [mail(1, 11), mail(2, 3)], 0);
    assert.equal(refusals.isOfServer, true);
  });

  it('say nothing about the server if their mails wait no longer', () => {
    const refusals = new Refusals();
    refusals.note(false, [mail(1), mail(2)], 0);
    refusals.keep(['2']);
    assert.deepEqual(refusals.signs, ['2']);
    assert.equal(refusals.isOfServer, false);
  });
});
