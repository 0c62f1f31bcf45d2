/** What people want to see of a mail. */
export interface ParsedMail {
  from: string;
  to: string;
  subject: string;
  date: string;
  text: string;
  html: string | undefined;
}

interface Part {
  headers: Map<string, string>;
  body: string;
}

const DEEPEST = 10;

/** The header fields of a raw message, decoded, by name in lower case; the first of a name counts. */
export function parseHeaders(raw: Buffer): Map<string, string> {
  const headers = splitPart(raw.toString('latin1')).headers;
  return new Map([...headers].map(([name, value]) => [name, decodeWords(value)]));
}

/** Reads a raw message (RFC 5322 and MIME). Never throws: what cannot be understood is shown as it came. */
export function parseMail(raw: Buffer): ParsedMail {
  // Byte for byte; each part is decoded with its own character set.
  const message = splitPart(raw.toString('latin1'));
  const header = (name: string): string => decodeWords(message.headers.get(name) ?? '');
  const found: { text?: string; html?: string } = {};
  collect(message, found, 0);
  return {
    from: header('from'),
    to: header('to'),
    subject: header('subject'),
    date: header('date'),
    text: found.text ?? '',
    html: found.html,
  };
}

function splitPart(source: string): Part {
  const end = /\r?\n\r?\n/.exec(source);
  const head = end ? source.slice(0, end.index) : source;
  const headers = new Map<string, string>();
  // A line that begins with white space continues the one before it.
  for (const line of head.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim().toLowerCase();
    if (colon > 0 && !headers.has(name)) headers.set(name, line.slice(colon + 1).trim());
  }
  return { headers, body: end ? source.slice(end.index + end[0].length) : '' };
}

function collect(part: Part, found: { text?: string; html?: string }, depth: number): void {
  const type = part.headers.get('content-type') ?? 'text/plain';
  const boundary = parameter(type, 'boundary');
  if (/^multipart\//i.test(type) && boundary !== undefined && depth < DEEPEST) {
    for (const inner of partsOf(part.body, boundary)) collect(splitPart(inner), found, depth + 1);
    return;
  }
  if (/^attachment/i.test(part.headers.get('content-disposition') ?? '')) return;
  if (/^text\/html/i.test(type)) found.html ??= decodeBody(part, type);
  else if (/^text\//i.test(type)) found.text ??= decodeBody(part, type);
}

function partsOf(body: string, boundary: string): string[] {
  const parts: string[] = [];
  let current: string[] | undefined;
  for (const line of body.split(/\r?\n/)) {
    const mark = line.trimEnd();
    if (mark !== `--${boundary}` && mark !== `--${boundary}--`) {
      current?.push(line);
      continue;
    }
    if (current) parts.push(current.join('\r\n'));
    current = mark.endsWith('--') && mark !== `--${boundary}` ? undefined : [];
  }
  if (current) parts.push(current.join('\r\n'));
  return parts;
}

function parameter(value: string, name: string): string | undefined {
  const match = new RegExp(`;\\s*${name}\\s*=\\s*(?:"([^"]*)"|([^;\\s]+))`, 'i').exec(value);
  return match?.[1] ?? match?.[2];
}

function decodeBody({ headers, body }: Part, type: string): string {
  const encoding = headers.get('content-transfer-encoding')?.toLowerCase().trim();
  let bytes: Buffer = Buffer.from(body, 'latin1');
  if (encoding === 'base64') bytes = Buffer.from(body, 'base64');
  else if (encoding === 'quoted-printable') bytes = unquote(body.replace(/=[ \t]*\r?\n/g, ''));
  return decodeText(bytes, parameter(type, 'charset') ?? 'utf-8').replaceAll('\r\n', '\n');
}

function unquote(text: string): Buffer {
  return Buffer.from(
    text.replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}

function decodeText(bytes: Buffer, charset: string): string {
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    return bytes.toString('latin1');
  }
}

/** Decodes RFC 2047's encoded words; those that follow each other join without the space between them. */
function decodeWords(value: string): string {
  const joined = value.replace(/(\?=)\s+(?==\?)/g, '$1');
  const decoded = joined.replace(
    /=\?([^?]+)\?([bq])\?([^?]*)\?=/gi,
    (_, charset: string, encoding: string, text: string) =>
      decodeText(
        encoding.toLowerCase() === 'b' ? Buffer.from(text, 'base64') : unquote(text.replaceAll('_', ' ')),
        charset,
      ),
  );
  // Nothing was encoded: the bytes may be UTF-8 themselves (SMTPUTF8).
  return decoded === value ? decodeText(Buffer.from(value, 'latin1'), 'utf-8') : decoded;
}
