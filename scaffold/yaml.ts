import { parseDocument } from 'yaml';
import type { YAMLSeq } from 'yaml';

/** Appends a name to the list at a path of a YAML text, where it is not there yet; comments stay. */
export function appendTo(text: string, path: readonly (string | number)[], name: string): string {
  const document = parseDocument(text);
  const list = document.getIn(path) as YAMLSeq | undefined;
  if (list === undefined) document.setIn(path, [name]);
  else if (!(list.toJSON() as unknown[]).includes(name)) list.add(name);
  else return text;
  return document.toString({ lineWidth: 0 });
}
