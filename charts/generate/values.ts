import { isMap, isScalar, parseDocument, type Document, type Node, type Pair, type Scalar, type YAMLMap } from 'yaml';

/** A key of values.yaml, with its comment. */
export interface Value {
  /** the keys that lead to it */
  path: string[];
  description: string;
  /** the default, as JavaScript */
  default: unknown;
  /** the schema of its `@schema` line */
  schema: Record<string, unknown>;
  /** the keys below it; undefined if it is described as one value */
  children: Value[] | undefined;
}

/**
 * Reads a chart's values with their comments. A comment above a key describes it; a line `@schema {...}` is JSON Schema in
 * YAML's flow style. A map whose keys have no comments is one value.
 * @throws Error with the path of a key without a comment, or with an invalid schema
 */
export function readValues(text: string): Value[] {
  const document = parseDocument(text, { keepSourceTokens: true });
  if (document.errors[0]) throw document.errors[0];
  if (!isMap(document.contents)) throw new Error('values.yaml is not a map');
  // the first key's comment is the file's head, a blank line, and its own
  const head = (document.contents as YAMLMap & { commentBefore?: string }).commentBefore ?? '';
  return readMap(document, document.contents, [], head.split(/\n\s*\n/).at(-1) ?? '');
}

function readMap(document: Document, map: YAMLMap, path: string[], firstComment: string): Value[] {
  return map.items.map((pair, index) => {
    const key = (pair.key as Scalar<string>).value;
    const own = (pair.key as Scalar).commentBefore ?? '';
    return readPair(document, pair, [...path, key], own === '' && index === 0 ? firstComment : own);
  });
}

function readPair(document: Document, pair: Pair, path: string[], comment: string): Value {
  const lines = comment.split('\n').map((line) => line.trim());
  const where = path.join('.');
  const schema = lines.filter((line) => line.startsWith('@schema')).map((line) => readSchema(line, where));
  const description = lines
    .filter((line) => !line.startsWith('@schema'))
    .join(' ')
    .trim();
  const node = pair.value as Node;
  const inner = isMap(node) && isDescribed(node) ? readMap(document, node, path, node.commentBefore ?? '') : undefined;
  if (description === '' && inner === undefined) throw new Error(`values.yaml: ${where} has no comment`);
  return {
    path,
    description,
    default: isScalar(node) ? node.value : node.toJS(document),
    schema: Object.assign({}, ...schema) as Record<string, unknown>,
    children: inner,
  };
}

function readSchema(line: string, where: string): unknown {
  const parsed = parseDocument(line.slice('@schema'.length));
  if (parsed.errors[0])
    throw new Error(`values.yaml: the @schema of ${where} is not readable: ${parsed.errors[0].message}`);
  return parsed.toJS();
}

/** Whether a key below a map has its own comment. */
function isDescribed(map: YAMLMap): boolean {
  if (map.commentBefore) return true;
  return map.items.some(
    ({ key, value }) => Boolean((key as Scalar).commentBefore) || (isMap(value) && isDescribed(value)),
  );
}
