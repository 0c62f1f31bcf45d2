import { parseArgs } from 'node:util';

import { Fault } from '#local/fault.ts';

const usage = `Usage: MILLRACE_NAMESPACE=millrace npm run upgrade:cluster -- --from COMMIT --from-tag TAG --tag TAG [--values FILE]

  --from <commit>   the released charts: a tag or another name of a commit
  --from-tag <tag>  the image of that release
  --tag <tag>       the image of the working tree
  --values <file>   values of the platform's chart, in both versions`;

/** What is upgraded to what. */
export interface UpgradeOptions {
  from: string;
  fromTag: string;
  tag: string;
  values: string | undefined;
}

/** Reads the command line. @throws Fault */
export function parseUpgradeOptions(args: string[]): UpgradeOptions {
  const text = { type: 'string' } as const;
  let values: { from?: string; 'from-tag'?: string; tag?: string; values?: string };
  try {
    ({ values } = parseArgs({ args, options: { from: text, 'from-tag': text, tag: text, values: text } }));
  } catch (error) {
    throw new Fault((error as Error).message, { hint: usage });
  }
  const { from, 'from-tag': fromTag, tag } = values;
  if (from === undefined || fromTag === undefined || tag === undefined)
    throw new Fault('--from, --from-tag and --tag are needed.', { hint: usage });
  if (from.startsWith('-')) throw new Fault(`--from is ${from}, which names no commit.`, { hint: usage });
  return { from, fromTag, tag, values: values.values };
}
