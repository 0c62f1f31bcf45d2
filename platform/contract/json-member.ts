/**
 * The text of a member of a JSON object, with each digit of its numbers; that of the last one where its name repeats, as JSON.parse
 * has it. Undefined if there is none.
 * @param json an object that JSON.parse takes
 */
export function memberText(json: string, name: string): string | undefined {
  let found: string | undefined;
  let at = behindSpace(json, json.indexOf('{') + 1);
  while (json[at] === '"') {
    const nameEnd = endOfText(json, at);
    const isIt = JSON.parse(json.slice(at, nameEnd)) === name;
    const start = behindSpace(json, behindSpace(json, nameEnd) + 1); // behind the colon
    at = endOfValue(json, start);
    if (isIt) found = json.slice(start, at);
    at = behindSpace(json, behindSpace(json, at) + 1); // behind the comma
  }
  return found;
}

const space = /[ \t\r\n]*/y;
const scalar = /[^,\]}\s]*/y;
const structure = /["[\]{}]/g;

function behindSpace(json: string, at: number): number {
  return endOf(space, json, at);
}

function endOf(pattern: RegExp, json: string, at: number): number {
  pattern.lastIndex = at;
  pattern.test(json);
  return pattern.lastIndex;
}

/**
 * Where a text in JSON ends; the end of the JSON where it does not.
 * @param open the place of its first quotation mark
 */
export function endOfText(json: string, open: number): number {
  for (let close = json.indexOf('"', open + 1); close >= 0; close = json.indexOf('"', close + 1)) {
    let before = close - 1;
    while (json[before] === '\\') before -= 1;
    if ((close - before) % 2 === 1) return close + 1;
  }
  return json.length;
}

function endOfValue(json: string, start: number): number {
  const first = json[start];
  if (first === '"') return endOfText(json, start);
  if (first !== '{' && first !== '[') return endOf(scalar, json, start);
  for (let at = start, depth = 0; ;) {
    structure.lastIndex = at;
    const [mark] = structure.exec(json)!;
    at = structure.lastIndex;
    if (mark === '"') at = endOfText(json, at - 1);
    else depth += mark === '{' || mark === '[' ? 1 : -1;
    if (depth === 0) return at;
  }
}
