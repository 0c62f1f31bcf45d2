import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The files to which a Markdown text links, as the text names them. */
export function linksOf(text: string): string[] {
  return [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)\s]*)?\)/g)]
    .map(([, link]) => link!)
    .filter((link) => !/^[a-z]+:/.test(link));
}

/** The npm scripts that a text runs. */
export function scriptsOf(text: string): string[] {
  return [...text.matchAll(/npm run (?:--silent )?([\w:-]+)/g)].map(([, script]) => script!);
}

/**
 * A page of a copy without the table rows and paragraphs that link to missing files or name missing commands, and without the
 * sections that begin with one.
 * @param file the page in the copy
 * @param scripts the npm scripts of the copy
 */
export function withoutMissing(file: string, text: string, scripts: Readonly<Record<string, string>>): string {
  const isComplete = (part: string) => linksOf(part).every((link) => existsSync(join(dirname(file), link)));
  const runs = (part: string) => scriptsOf(part).every((script) => script in scripts);
  const isPossible = (part: string) => !part.includes('shop-free') && runs(part);
  const beginsPossibly = (section: string) => {
    const [, first = ''] = section.split('\n\n');
    return !first.startsWith('```') || isPossible(first);
  };
  return text
    .split(/^(?=## )/m)
    .filter(beginsPossibly)
    .join('')
    .split('\n\n')
    .map((block) => {
      if (!block.startsWith('|')) return isComplete(block) && runs(block) ? block : undefined;
      const rows = block.split('\n').filter((row) => isComplete(row) && isPossible(row));
      return rows.join('\n');
    })
    .filter((block) => block !== undefined)
    .join('\n\n');
}

/** An HTML page without the parts that it marks as the shop's. */
export function withoutShop(text: string): string {
  return text.replaceAll(/^ *<!-- shop -->\n[\s\S]*?^ *<!-- \/shop -->\n/gm, '');
}
