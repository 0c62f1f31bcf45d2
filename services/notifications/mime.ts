import { encodeWord } from 'nodemailer/lib/mime-funcs';
import { encode, wrap } from 'nodemailer/lib/qp';
import { NotificationsError } from './errors.ts';
import { isPrintableAscii, oneLine } from './text.ts';

export interface Mail {
  /** the sender's address, and the domain of the Message-ID */
  from: { name: string; address: string };
  to: { name: string; address: string };
  /** the source of the Message-ID, which identifies a mail that is sent twice */
  id: string;
  subject: string;
  text: string;
  date: Date;
}

/** Whether an address is valid in an SMTP envelope and in a header without changes. */
export function isUsableAddress(address: string): boolean {
  return address.length <= 254 && /^[^\s<>\\@,;:]+@[^\s<>\\@,;:]+$/.test(address) && isPrintableAscii(address);
}

/**
 * A plain text message in the wire format (RFC 5322), composed here because nodemailer's composer and pool take several
 * times the processor time of its bare connection. No content of the parts can add a header or end one early.
 */
export function composeMail({ from, to, id, subject, text, date }: Mail): Buffer {
  const ascii = isPlainText(text);
  const head =
    `From: ${mailbox(from)}\r\nTo: ${mailbox(to)}\r\nSubject: ${phrase(subject, (plain) => plain)}\r\n` +
    `Message-ID: ${messageId(id, from.address)}\r\nDate: ${date.toUTCString().replace('GMT', '+0000')}\r\n` +
    'Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n' +
    `Content-Transfer-Encoding: ${ascii ? '7bit' : 'quoted-printable'}\r\n\r\n`;
  const lines = text.toWellFormed().replaceAll(/\r\n|\r|\n/g, '\r\n');
  return Buffer.from(head + (ascii ? lines : wrap(encode(lines))));
}

/** The Message-ID of an event's mail, in the sender's domain. */
export function messageId(id: string, senderAddress: string): string {
  const local = encodeURIComponent(id.toWellFormed()).replaceAll(/[()]/g, '_');
  return `<${local}@${senderAddress.slice(senderAddress.lastIndexOf('@') + 1)}>`;
}

/** Printable ASCII in lines that every server takes (RFC 5321 allows 998 characters). */
function isPlainText(text: string): boolean {
  return /^[\n\r\x20-\x7e]*$/.test(text) && (text.length < 900 || !/[^\r\n]{900}/.test(text));
}

function mailbox({ name, address }: Mail['to']): string {
  if (!isUsableAddress(address))
    throw new NotificationsError('ERR_MAIL_ADDRESS', 'an address that cannot be used in a header');
  const shown = phrase(name, (plain) => (plain === '' ? '' : `"${plain.replaceAll(/["\\]/g, String.raw`\$&`)}"`));
  return shown === '' ? `<${address}>` : `${shown} <${address}>`;
}

/** Text of a header: one line, as it is where it is ASCII, else in encoded words of at most 75 characters (RFC 2047). */
function phrase(text: string, plain: (text: string) => string): string {
  const line = oneLine(text);
  // a mail program would decode text that looks like an encoded word
  if (isPrintableAscii(line) && !line.includes('=?')) return plain(line);
  return encodeWord(line, 'B', 52).replaceAll(' ', '\r\n ');
}
