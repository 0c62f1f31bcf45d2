import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { composeMail, isUsableAddress, messageId } from './mime.ts';
import type { Mail } from './mime.ts';
import { oneLine } from './text.ts';

const mail: Mail = {
  from: { name: 'Millrace', address: 'shop@millrace.example' },
  to: { name: 'Ada Lovelace', address: 'ada@example.com' },
  id: 'order-1-1',
  subject: 'Order 1 received',
  text: 'Hello Ada,\n\nthank you.\n',
  date: new Date('2026-01-02T03:04:05.678Z'),
};

/** A message as a mail program parses it. */
function parse(message: Buffer): { names: string[]; header: (name: string) => string; body: string; lines: string[] } {
  const text = message.toString();
  const end = text.indexOf('\r\n\r\n');
  const fields = text
    .slice(0, end)
    .replaceAll(/\r\n[ \t]/g, ' ')
    .split('\r\n');
  return {
    names: fields.map((field) => field.slice(0, field.indexOf(':'))),
    header: (name) => fields.find((field) => field.startsWith(`${name}: `))!.slice(name.length + 2),
    body: text.slice(end + 4),
    lines: text.split('\r\n'),
  };
}

/** Decodes the encoded words of header text. */
function decoded(text: string): string {
  if (!text.startsWith('=?')) return text;
  return text
    .split(' ')
    .map((word) => Buffer.from(/^=\?UTF-8\?B\?([^?]*)\?=$/.exec(word)![1]!, 'base64').toString())
    .join('');
}

/** Decodes the quotes or encoded words of a display name. */
function unquoted(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll(/\\(.)/g, '$1') : decoded(text);
}

const headerNames = [
  'From',
  'To',
  'Subject',
  'Message-ID',
  'Date',
  'Auto-Submitted',
  'MIME-Version',
  'Content-Type',
  'Content-Transfer-Encoding',
];

describe('composeMail', () => {
  it('writes a plain message', () => {
    assert.equal(
      composeMail(mail).toString(),
      [
        'From: "Millrace" <shop@millrace.example>',
        'To: "Ada Lovelace" <ada@example.com>',
        'Subject: Order 1 received',
        'Message-ID: <order-1-1@millrace.example>',
        'Date: Fri, 02 Jan 2026 03:04:05 +0000',
        'Auto-Submitted: auto-generated',
        'MIME-Version: 1.0',
        'Content-Type: text/plain; charset=utf-8',
        'Content-Transfer-Encoding: 7bit',
        '',
        'Hello Ada,',
        '',
        'thank you.',
        '',
      ].join('\r\n'),
    );
  });

  it('encodes characters outside ASCII', () => {
    const { header, body } = parse(
      composeMail({ ...mail, to: { ...mail.to, name: 'Zoë 🦊' }, subject: 'Grüße', text: 'Hello Zoë 🦊,\n' }),
    );
    assert.match(header('To'), /^=\?UTF-8\?B\?[^?]+\?= <ada@example\.com>$/);
    assert.equal(decoded(header('Subject')), 'Grüße');
    assert.equal(header('Content-Transfer-Encoding'), 'quoted-printable');
    assert.equal(body, 'Hello Zo=C3=AB =F0=9F=A6=8A,\r\n');
  });

  it('never lets a name, a subject or an id add a header, end the headers or break a line', () => {
    const nasty = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.string({ unit: 'grapheme', maxLength: 300 }),
      fc
        .array(
          fc.constantFrom(
            '\r',
            '\n',
            '\r\n',
            '\u0000',
            '\u2028',
            '"',
            '\\',
            '<',
            '>',
            '=?utf-8?Q?=0D=0A?=',
            'Bcc: x@y.z',
            ' ',
          ),
        )
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(nasty, nasty, nasty, nasty, (name, subject, id, text) => {
        const { names, header, lines } = parse(composeMail({ ...mail, to: { ...mail.to, name }, subject, id, text }));
        assert.deepEqual(names, headerNames);
        assert.ok(lines.every((line) => line.length <= 998 && !/[\r\n\0]/.test(line)));
        const to = header('To');
        assert.ok(to.endsWith('<ada@example.com>'));
        assert.equal(unquoted(to.slice(0, -'<ada@example.com>'.length).trim()), oneLine(name));
        assert.equal(decoded(header('Subject')), oneLine(subject));
        assert.match(header('Message-ID'), /^<[\w.!~*'%-]*@millrace\.example>$/);
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuses an address that contains several', () => {
    for (const address of [
      'a@b.c>\r\nBcc: <x@y.z',
      'a@b.c, x@y.z',
      'a b@c.d',
      'a@b@c',
      'a',
      '@b',
      'ä@b.c',
      '<a@b.c>',
      '',
    ]) {
      assert.equal(isUsableAddress(address), false, address);
      assert.throws(() => composeMail({ ...mail, to: { name: '', address } }));
    }
    assert.ok(isUsableAddress("o'brien+tag@mail.example.com"));
  });

  it('gives the same event the same Message-ID and different events different ones', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
        assert.equal(messageId(a, 'x@y.z'), messageId(a, 'x@y.z'));
        if (a !== b && !/[()]/.test(a + b)) assert.notEqual(messageId(a, 'x@y.z'), messageId(b, 'x@y.z'));
      }),
    );
  });
});
