type Numbers<T> = { [K in keyof T]: T[K] extends number ? number : number[] };

/**
 * Reads the arguments of a command: whole numbers of 1 or more. For other arguments, prints the usage and ends the process.
 * @param usage such as `npm run bench:orders -- [SECONDS] [CONNECTIONS]`
 * @param defaults of each argument; one whose default is a list takes several, separated by commas
 */
export function readNumbers<T extends (number | number[])[]>(usage: string, ...defaults: T): Numbers<T> {
  const given = process.argv.slice(2);
  const numbers = defaults.map((fallback, i) => {
    const text = given[i];
    if (text === undefined) return fallback;
    return Array.isArray(fallback) ? text.split(',').map(Number) : Number(text);
  });
  if (given.length <= defaults.length && numbers.flat().every((number) => Number.isInteger(number) && number > 0)) {
    return numbers as Numbers<T>;
  }
  console.error(`Usage: ${usage}`);
  process.exit(2);
}
