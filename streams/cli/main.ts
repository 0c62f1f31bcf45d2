import { queryTool } from './tool.ts';

process.stdout.on('error', () => process.exit(0)); // the reader has closed the pipe
process.exitCode = await queryTool(process.argv.slice(2), {
  out: (text) => process.stdout.write(`${text}\n`),
  err: (text) => process.stderr.write(`${text}\n`),
});
