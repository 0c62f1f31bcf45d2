/** A Chart.yaml with the version of package.json, which is stated there alone. */
export function chartOf(text: string, version: string): string {
  return text.replaceAll(/^(version|appVersion): .*$/gm, `$1: ${version}`);
}

/** An example for Argo CD or Flux with that version of both charts. */
export function exampleOf(text: string, version: string): string {
  return text.replaceAll(/(targetRevision: |\btag: )[^\s}]+/g, `$1${version}`);
}
