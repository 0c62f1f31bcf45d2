import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Mail, MailBox } from './box.ts';
import { parseHeaders, parseMail } from './parse.ts';

const LISTED = 100;
const CSP = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'; base-uri 'none'";

/**
 * `GET /` lists the mails and `/messages/{id}` shows one; `/api/messages?to=&limit=` and `/api/messages/{id}` are the same
 * as JSON, `/messages/{id}/raw` is the message as it came.
 */
export function answerMailRequest(box: MailBox, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://localhost');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    send(response.setHeader('Allow', 'GET, HEAD'), 405, 'text/plain', 'Mail is only looked at here.');
    return;
  }
  const match = /^(\/api)?\/messages\/(\d{1,15})(\/raw|\/html)?$/.exec(url.pathname);
  const mail = match ? box.get(Number(match[2])) : undefined;
  const filter = { to: url.searchParams.get('to') || undefined, limit: limitOf(url.searchParams.get('limit')) };
  if (url.pathname === '/') send(response, 200, 'text/html', listPage(box, filter));
  else if (url.pathname === '/api/messages') sendJson(response, box.list(filter).map(summary));
  else if (mail === undefined)
    send(response, 404, 'text/plain', 'There is no such page, or the mail is no longer kept.');
  else if (match?.[1] !== undefined)
    sendJson(response, { ...summary(mail), ...bodies(mail), raw: mail.raw.toString('utf8') });
  else if (match?.[3] === '/raw') send(response, 200, 'text/plain', mail.raw.toString('utf8'));
  else if (match?.[3] === '/html') sendForeignHtml(response, parseMail(mail.raw).html ?? '');
  else send(response, 200, 'text/html', mailPage(mail));
}

function limitOf(text: string | null): number {
  const limit = Number(text);
  return Number.isInteger(limit) && limit > 0 ? limit : LISTED;
}

function summary(mail: Mail): Record<string, unknown> {
  const { id, from, to, receivedAt, raw } = mail;
  return { id, from, to, subject: parseHeaders(raw).get('subject') ?? '', receivedAt, size: raw.length };
}

function bodies(mail: Mail): { text: string; html: string | undefined } {
  const { text, html } = parseMail(mail.raw);
  return { text, html };
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'Content-Type': `${type}; charset=utf-8`,
    'Content-Security-Policy': CSP,
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store',
  });
  response.end(body);
}

function sendJson(response: ServerResponse, value: unknown): void {
  send(response, 200, 'application/json', JSON.stringify(value));
}

/** A mail's own HTML: sandboxed, so that it runs nothing, asks for nothing and belongs to no origin. */
function sendForeignHtml(response: ServerResponse, html: string): void {
  response.writeHead(200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store',
  });
  response.end(html);
}

function escape(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

function page(title: string, body: string, head = ''): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escape(title)}</title>${head}<style>
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid #8884;padding:1rem}iframe{width:100%;height:30rem;border:1px solid #8884;background:#fff}
time{white-space:nowrap;font-variant-numeric:tabular-nums}
</style></head><body>${body}</body></html>`;
}

function listPage(box: MailBox, filter: { to: string | undefined; limit: number }): string {
  const rows = box.list(filter).map((mail) => {
    const subject = parseHeaders(mail.raw).get('subject') || '(no subject)';
    return `<tr><td><time>${clock(mail.receivedAt)}</time></td><td>${escape(mail.to.join(', '))}</td>
<td><a href="/messages/${mail.id}">${escape(subject)}</a></td></tr>`;
  });
  const table = `<table><thead><tr><th>Received</th><th>To</th><th>Subject</th></tr></thead><tbody>${rows.join('\n')}</tbody></table>`;
  const search = `<form><label>To <input type="search" name="to" value="${escape(filter.to ?? '')}"></label> <button>Show</button></form>`;
  const body = rows.length > 0 ? table : '<p>No mail yet. Register a user, and the welcome mail shows up here.</p>';
  return page(
    'Mail',
    `<h1>Mail</h1><p>${box.received} received since the start.</p>${search}${body}`,
    '<meta http-equiv="refresh" content="5">',
  );
}

function mailPage(mail: Mail): string {
  const { from, to, subject, date, text, html } = parseMail(mail.raw);
  const fields = Object.entries({ From: from || mail.from, To: to || mail.to.join(', '), Date: date });
  const list = fields.map(([name, value]) => `<tr><th>${name}</th><td>${escape(value)}</td></tr>`).join('');
  const frame =
    html === undefined ? '' : `<h2>HTML</h2><iframe sandbox title="HTML" src="/messages/${mail.id}/html"></iframe>`;
  return page(
    subject,
    `<p><a href="/">All mail</a> <a href="/messages/${mail.id}/raw">As it came</a></p>
<h1>${escape(subject || '(no subject)')}</h1><table>${list}</table><pre>${escape(text)}</pre>${frame}`,
  );
}

function clock(date: Date): string {
  return date.toISOString().slice(11, 19);
}
