import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { createTransport, type Transporter } from 'nodemailer';

import { freePort } from '#test/ports.ts';

import { MailBox } from './box.ts';
import { startMailCatcher, type MailCatcher } from './mail-catcher.ts';

describe('the mail catcher', () => {
  let server: MailCatcher;
  let transport: Transporter;
  let base: string;

  before(async () => {
    const [smtpPort, pagePort] = [await freePort(), await freePort()];
    server = await startMailCatcher({ smtpPort, pagePort, host: '127.0.0.1' });
    base = `http://127.0.0.1:${pagePort}`;
    transport = createTransport({ host: '127.0.0.1', port: smtpPort, ignoreTLS: true, pool: true });
  });
  after(async () => {
    transport.close();
    await server.stop();
  });

  const get = async (path: string): Promise<string> => (await fetch(base + path)).text();

  test('keeps a mail and hands it over decoded', async () => {
    const subject = 'Bestellung 7 ist unterwegs: Grüße, 東京 und ein Betreff, der umbrochen werden muss';
    const text = 'Größe: 5 €\n.a line that begins with a dot\n= equals\n';
    await transport.sendMail({ from: 'shop@example.com', to: 'ada@example.com', subject, text, html: '<b>Größe</b>' });
    const [mail] = JSON.parse(await get('/api/messages?to=ADA')) as { id: number; subject: string; to: string[] }[];
    assert.equal(mail?.subject, subject);
    assert.deepEqual(mail?.to, ['ada@example.com']);
    const whole = JSON.parse(await get(`/api/messages/${mail?.id}`)) as { text: string; html: string };
    assert.equal(whole.text.trim(), text.trim());
    assert.equal(whole.html.trim(), '<b>Größe</b>');
    assert.deepEqual(JSON.parse(await get('/api/messages?to=nobody')), []);
  });

  test('shows foreign text as text, and foreign HTML in a sandbox', async () => {
    const script = '<script>alert(1)</script>';
    await transport.sendMail({
      from: 'a@example.com',
      to: 'eve@example.com',
      subject: script,
      text: script,
      html: script,
    });
    const [mail] = JSON.parse(await get('/api/messages?to=eve')) as { id: number }[];
    for (const path of ['/', `/messages/${mail?.id}`, '/?to="><script>']) {
      const response = await fetch(base + path);
      assert.ok(!(await response.text()).includes('<script'), path);
      assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'/);
    }
    const html = await fetch(`${base}/messages/${mail?.id}/html`);
    assert.match(html.headers.get('content-security-policy') ?? '', /^sandbox;/);
    assert.equal(
      (await fetch(`${base}/messages/${mail?.id}/raw`)).headers.get('content-type'),
      'text/plain; charset=utf-8',
    );
  });

  test('refuses a mail that is too large, and works on', async () => {
    const large = { from: 'a@example.com', to: 'big@example.com', text: 'x'.repeat(2 << 20) };
    await assert.rejects(transport.sendMail(large), { responseCode: 552 });
    await transport.sendMail({ ...large, text: 'small' });
    assert.equal((JSON.parse(await get('/api/messages?to=big')) as unknown[]).length, 1);
  });

  test('shows no mail to a website', async () => {
    const status = async (headers: Record<string, string>) => {
      const [answer] = (await once(request(`${base}/api/messages`, { headers }).end(), 'response')) as [
        IncomingMessage,
      ];
      answer.resume();
      return answer.statusCode;
    };
    assert.equal(await status({ host: 'evil.example' }), 403);
    assert.equal(await status({ origin: 'http://evil.example' }), 403);
    assert.equal(await status({ host: 'localhost:8025', origin: 'http://localhost:8025' }), 200);
  });

  test('answers 404 and 405', async () => {
    assert.equal((await fetch(`${base}/messages/999999`)).status, 404);
    assert.equal((await fetch(`${base}/nowhere`)).status, 404);
    assert.equal((await fetch(base, { method: 'POST' })).status, 405);
  });
});

test('the box keeps the newest', () => {
  const box = new MailBox(3);
  for (const to of ['a', 'b', 'c', 'd', 'e']) box.add({ from: 'x', to: [to], raw: Buffer.alloc(0) });
  assert.deepEqual(
    box.list({ limit: 10 }).map((mail) => mail.to[0]),
    ['e', 'd', 'c'],
  );
  assert.equal(box.list({ limit: 1 }).length, 1);
  assert.equal(box.get(2), undefined);
  assert.equal(box.get(4)?.to[0], 'd');
  assert.equal(box.received, 5);
});
