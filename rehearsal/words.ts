import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { scenes } from './scenes/index.ts';
import { type OwnApp, readOwnApp, scenesOf } from './scenes/own-app.ts';
import type { Scene } from './scenes/scene.ts';

/** What is to be played. */
export interface Programme {
  readonly scenes: readonly Numbered[];
  /** The app of `--app`. */
  readonly own?: OwnApp;
}

export interface Numbered extends Scene {
  /** Its place among all scenes, from 1. */
  readonly number: number;
}

/** Reads the words after `npm run rehearse --`; refuses with a sentence that says what may be asked for. */
export function readProgramme(words: string[], refuse: (sentence: string) => never): Programme {
  try {
    return programmeOf(words);
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function programmeOf(words: string[]): Programme {
  const options = { app: { type: 'string' } } as const;
  const { values, positionals } = parseArgs({ args: words, allowPositionals: true, options });
  const own = values.app === undefined ? undefined : readOwnApp(resolve(values.app));
  const all = (own === undefined ? scenes : scenesOf(own)).map((scene, index) => ({
    ...scene,
    number: index + 1,
  }));
  const chosen = positionals.length === 0 ? all : all.filter((scene) => isChosen(scene, positionals, all));
  return { scenes: chosen, ...(own && { own }) };
}

function isChosen(scene: Numbered, words: readonly string[], all: readonly Numbered[]): boolean {
  return words.map((word) => find(word, all)).includes(scene);
}

/** A scene by its number, its key, or a part of its name that no other has. */
function find(word: string, all: readonly Numbered[]): Numbered {
  const exactly = all.find(({ number, key }) => word === String(number) || word === key);
  if (exactly !== undefined) return exactly;
  const isPart = ({ name }: Numbered): boolean => name.toLowerCase().includes(word.toLowerCase());
  const [found, another] = /^\d+$/.test(word) ? [] : all.filter(isPart);
  if (found !== undefined && another === undefined) return found;
  const list = all
    .map(({ number, key, name }) => `  ${String(number).padStart(2)}  ${key.padEnd(13)} ${name}`)
    .join('\n');
  throw new Error(`"${word}" is ${found ? 'more than one scene' : 'no scene'}; there are:\n${list}`);
}
