import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import { parseHeaders, parseMail } from './parse.ts';

const mail = (...lines: string[]): Buffer => Buffer.from(lines.join('\r\n'));

describe('parseMail', () => {
  test('decodes headers: folded lines, and words in several encodings', () => {
    const headers = parseHeaders(
      mail(
        'Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe_aus?=',
        ' =?ISO-8859-1?B?SPzkbg==?= end',
        'subject: second',
        '',
        'Body: no',
      ),
    );
    assert.equal(headers.get('subject'), 'Grüße ausHüän end');
    assert.equal(headers.get('body'), undefined);
    assert.equal(parseHeaders(mail('Subject: plain Grüße', '')).get('subject'), 'plain Grüße');
  });

  test('finds text and HTML in nested parts, and passes over attachments', () => {
    const parsed = parseMail(
      mail(
        'Content-Type: multipart/mixed; boundary="a"',
        '',
        'preamble',
        '--a',
        'Content-Type: multipart/alternative; boundary=b',
        '',
        '--b',
        'Content-Type: text/plain; charset=utf-8',
        'Content-Transfer-Encoding: quoted-printable',
        '',
        'Gr=C3=BC=C3=9Fe =',
        'an alle',
        '--b',
        'Content-Type: text/html; charset=iso-8859-1',
        'Content-Transfer-Encoding: base64',
        '',
        'PGI+R3L832U8L2I+',
        '--b--',
        '--a',
        'Content-Type: text/plain',
        'Content-Disposition: attachment; filename=x.txt',
        '',
        'attached',
        '--a--',
        'epilogue',
      ),
    );
    assert.equal(parsed.text, 'Grüße an alle');
    assert.equal(parsed.html, '<b>Grüße</b>');
  });

  test('an unknown character set or encoding is shown as it came', () => {
    const parsed = parseMail(
      mail('Content-Type: text/plain; charset=klingon', 'Content-Transfer-Encoding: x', '', 'text'),
    );
    assert.equal(parsed.text, 'text');
  });

  test('never throws', () => {
    const line = fc.constantFrom(
      '--a',
      '--a--',
      'Content-Type: multipart/mixed; boundary=a',
      '',
      'Subject: =?x?b?#?=',
      ' x',
    );
    fc.assert(fc.property(fc.array(fc.oneof(line, fc.string())), (lines) => void parseMail(mail(...lines))));
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void parseMail(Buffer.from(bytes))));
  });
});
