/** What a command tells people. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
