import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';

const root = join(import.meta.dirname, '../..');

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Job {
  readonly uses?: string;
  readonly steps?: readonly Step[];
  readonly needs?: string | readonly string[];
  readonly if?: string;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly 'timeout-minutes'?: number;
}

interface Workflow {
  readonly on: unknown;
  readonly permissions: unknown;
  readonly jobs: Readonly<Record<string, Job>>;
}

const paths = [
  ...globSync('.github/workflows/*.{yml,yaml}', { cwd: root }),
  ...globSync('examples/*/.github/workflows/*.{yml,yaml}', { cwd: root }),
].sort();

const mutable = /uses:\s*(?<what>[^\s#]+)(?<rest>.*)$/gm;
/** Our own actions and workflows: the release writes its SHA; in the tree stand 40 zeros. */
const ours = /^understudy-actions\/understudy\/[\w./-]+@(0{40}|[0-9a-f]{40})$/;

describe('the workflows', () => {
  test('are found', () => {
    expect(paths).toEqual(
      expect.arrayContaining(['.github/workflows/ci.yml', '.github/workflows/deploy-staging.yml']),
    );
  });
});

describe.each(paths)('%s', (path) => {
  const text = readFileSync(join(root, path), 'utf8');
  const workflow = parse(text) as Workflow;
  const jobs = Object.entries(workflow.jobs);
  const steps = jobs.flatMap(([, job]) => job.steps ?? []);

  test('pins every action to a full SHA, with the version beside', () => {
    const loose = [...text.matchAll(mutable)]
      .map(({ groups = {} }) => groups)
      .filter(({ what = '', rest = '' }) => {
        if (what.startsWith('./') || ours.test(what)) return false;
        return !/^[\w.-]+\/[\w./-]+@[0-9a-f]{40}$/.test(what) || !/^\s+# v\d+(\.\d+)*$/.test(rest);
      });
    expect(loose).toEqual([]);
  });

  test('grants nothing at the top', () => {
    expect(workflow.permissions).toEqual({});
  });

  test('gives each grant its reason beside it', () => {
    const grants = text.split('\n').filter((line) => /^\s+[a-z-]+: (read|write)\b/.test(line));
    expect(grants.filter((line) => !/#\s*\w+/.test(line))).toEqual([]);
  });

  test('bounds the time of each job', () => {
    const boundless = jobs.filter(
      ([, job]) => job.uses === undefined && !Number.isInteger(job['timeout-minutes']),
    );
    expect(boundless.map(([name]) => name)).toEqual([]);
  });

  test('never runs on pull_request_target', () => {
    expect(JSON.stringify(workflow.on)).not.toContain('pull_request_target');
  });

  test('puts no expression into a script: values come by the environment', () => {
    expect(steps.map(({ run = '' }) => run).filter((run) => run.includes('${{'))).toEqual([]);
  });

  test('keeps the token out of the checked-out tree', () => {
    const checkouts = steps.filter(({ uses = '' }) => uses.startsWith('actions/checkout@'));
    expect(checkouts.filter((step) => step.with?.['persist-credentials'] !== false)).toEqual([]);
  });

  test('restores no cache and runs no third party where a token for AWS can be had', () => {
    const trusted = jobs.filter(
      ([, job]) => job.permissions?.['id-token'] === 'write' && job.uses === undefined,
    );
    const used = trusted.flatMap(([, job]) => (job.steps ?? []).map(({ uses = '' }) => uses).filter(Boolean));
    expect(used.filter((uses) => !/^(actions|understudy-actions)\//.test(uses))).toEqual([]);
    expect(used.filter((uses) => uses.startsWith('actions/cache'))).toEqual([]);
  });
});

describe('the CI of this repository', () => {
  const { jobs } = parse(readFileSync(join(root, '.github/workflows/ci.yml'), 'utf8')) as Workflow;

  test('has a gate that needs every other job, and runs whatever became of them', () => {
    const others = Object.keys(jobs).filter((name) => name !== 'gate');
    expect(new Set([jobs['gate']?.needs].flat())).toEqual(new Set(others));
    expect(jobs['gate']?.if).toMatch(/always\(\)/);
  });

  test('plays what .ci/run plays', () => {
    const runs = Object.values(jobs).flatMap(({ steps = [] }) => steps.map(({ run = '' }) => run));
    expect(runs.join('\n')).toMatch(/\.ci\/run/);
    expect(existsSync(join(root, '.ci/run'))).toBe(true);
  });
});
