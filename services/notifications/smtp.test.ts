import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { SmtpClient, SmtpRefused, SmtpUnavailable } from './smtp.ts';
import { reply, startTestSmtp } from '#test/smtp.ts';

const message = (id: string) => Buffer.from(`Message-ID: <${id}>\r\nSubject: x\r\n\r\n.\r\n..dots\r\n`);
const from = 'shop@millrace.example';

const refusal = (permanent: boolean, text: RegExp) => (error: Error) =>
  error instanceof SmtpRefused && error.permanent === permanent && text.test(error.message);

describe('SmtpClient', () => {
  it('sends one mail after another over one connection, dots and all', async () => {
    const sink = await startTestSmtp();
    const client = new SmtpClient({ url: sink.url });
    try {
      for (let i = 0; i < 5; i++) await client.send(from, `a${i}@x.y`, message(String(i)));
      assert.equal(sink.connections(), 1);
      assert.deepEqual(
        sink.mails.map((mail) => mail.to),
        ['a0@x.y', 'a1@x.y', 'a2@x.y', 'a3@x.y', 'a4@x.y'],
      );
      assert.match(sink.mails[0]!.message, /\r\n\r\n\.\r\n\.\.dots\r\n$/);
    } finally {
      client.close();
      await sink.close();
    }
  });

  it('distinguishes permanent from temporary refusals, and keeps the connection', async () => {
    const sink = await startTestSmtp({
      onRecipient(address) {
        if (address.startsWith('gone')) throw reply(550, '5.1.1 no such mailbox');
        if (address.startsWith('later')) throw reply(451, 'greylisted');
      },
    });
    const client = new SmtpClient({ url: sink.url });
    try {
      for (let i = 0; i < 12; i++) {
        await assert.rejects(
          client.send(from, 'gone@x.y', message('1')),
          refusal(true, /^550 5\.1\.1 no such mailbox/),
        );
        await assert.rejects(client.send(from, 'later@x.y', message('2')), refusal(false, /^451 greylisted/));
      }
      await client.send(from, 'here@x.y', message('3'));
      await assert.rejects(
        client.send(from, 'a@b.c>\r\nRCPT TO:<x@y.z', message('4')),
        refusal(true, /Invalid recipient/),
      );
      assert.equal(sink.connections(), 1);
      assert.deepEqual(
        sink.mails.map((mail) => mail.to),
        ['here@x.y'],
      );
    } finally {
      client.close();
      await sink.close();
    }
  });

  it('takes a refusal for permanent only if its enhanced code is about the recipient', async () => {
    const refusals: [code: number, text: string, isPermanent: boolean][] = [
      [550, '5.1.1 no such mailbox', true],
      [556, '5.1.10 the domain takes no mail', true],
      [552, '5.2.2 mailbox full', false],
      [450, '5.1.1 not now', false],
      [530, '5.7.0 login first', false],
      [535, 'no', false],
      [550, 'relaying denied', false],
      [550, '5.1.8 the domain of the sender does not exist', false],
      [550, '5.1.17 not one of those', false],
      [554, '5.2.252 the account may not send as this sender', false],
      [554, '5.7.1 Relay access denied', false],
    ];
    const replies = refusals.map(([code, text]) => reply(code, text));
    const sink = await startTestSmtp({
      onRecipient() {
        const next = replies.shift();
        if (next) throw next;
      },
    });
    const client = new SmtpClient({ url: sink.url });
    try {
      for (const [, text, isPermanent] of refusals)
        await assert.rejects(client.send(from, 'a@x.y', message('1')), refusal(isPermanent, new RegExp(text)));
      await client.send(from, 'a@x.y', message('1'));
      assert.equal(sink.connections(), 1);
    } finally {
      client.close();
      await sink.close();
    }
  });

  it('reports an unavailable server if no process listens', async () => {
    const sink = await startTestSmtp();
    await sink.close();
    const client = new SmtpClient({ url: sink.url });
    await assert.rejects(client.send(from, 'a@b.c', message('1')), SmtpUnavailable);
    client.close();
  });

  it('reports an unavailable server if it does not greet', async () => {
    const mute = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const client = new SmtpClient({
      url: `smtp://127.0.0.1:${(mute.address() as AddressInfo).port}`,
      connectTimeoutMs: 50,
    });
    await assert.rejects(client.send(from, 'a@b.c', message('1')), SmtpUnavailable);
    client.close();
    mute.close();
  });

  it('counts a connection that breaks in the middle of a mail against the mail, and opens a new one', async () => {
    let broken = false;
    const breaking = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('220 hello\r\n');
      socket.on('data', (data) => {
        if (data.toString().startsWith('EHLO')) socket.write('250 hello\r\n');
        else {
          broken = true;
          socket.destroy();
        }
      });
    }).listen(0, '127.0.0.1');
    await once(breaking, 'listening');
    const { port } = breaking.address() as AddressInfo;
    const client = new SmtpClient({ url: `smtp://127.0.0.1:${port}` });
    await assert.rejects(
      client.send(from, 'a@b.c', message('1')),
      (error) => error instanceof SmtpRefused && !error.permanent && !error.mayHaveArrived,
    );
    assert.ok(broken);
    breaking.close();
    await once(breaking, 'close');
    const sink = await startTestSmtp({ port });
    await client.send(from, 'a@b.c', message('1'));
    assert.equal(sink.mails.length, 1);
    client.close();
    await sink.close();
  });

  it('reconnects after the server has closed an unused connection', async () => {
    const first = await startTestSmtp();
    const client = new SmtpClient({ url: first.url });
    await client.send(from, 'a@b.c', message('1'));
    await first.close();
    const second = await startTestSmtp({ port: first.port });
    await client.send(from, 'a@b.c', message('2'));
    assert.equal(second.mails.length, 1);
    client.close();
    await second.close();
  });

  it('closes unused connections', async () => {
    const sink = await startTestSmtp();
    const client = new SmtpClient({ url: sink.url, idleMs: 20 });
    await client.send(from, 'a@b.c', message('1'));
    while (sink.open() > 0) await new Promise((resolve) => setImmediate(resolve));
    await client.send(from, 'a@b.c', message('2'));
    assert.equal(sink.connections(), 2);
    client.close();
    await sink.close();
  });
});
