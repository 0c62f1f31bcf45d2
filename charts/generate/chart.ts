/** A Chart.yaml with the version of package.json, which is stated there alone. */
export function chartOf(text: string, version: string): string {
  return text.replaceAll(/^(version|appVersion): .*$/gm, `$1: ${version}`);
}
