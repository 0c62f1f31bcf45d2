import { parseDocument } from 'yaml';
import type { YAMLSeq } from 'yaml';

/** Adds a name to the list at a path of a YAML text, if it is missing; comments remain. */
export function appendTo(text: string, path: readonly (string | number)[], name: string): string {
  const document = parseDocument(text);
  const list = document.getIn(path) as YAMLSeq | undefined;
  if (list === undefined) document.setIn(path, [name]);
  else if (!(list.toJSON() as unknown[]).includes(name)) list.add(name);
  else return text;
  return document.toString({ lineWidth: 0 });
}
