// `npm test` runs this in place of the test files that can share a process.

import { shareProcess } from '#test/share-process.ts';
import { testFiles } from '#test/test-files.ts';

shareProcess(testFiles().sharing);
