import { eventually } from '../../test/support/eventually.ts';
import { type Job, type JobControl, Jobs } from './jobs.ts';

const ended: Job[] = [];
const note = (job: Job) => void ended.push(job);
beforeEach(() => (ended.length = 0));

it('tells how far it has come, and how it ended', async () => {
  const jobs = new Jobs();
  const work = async ({ scanned, affected }: JobControl) => {
    scanned(10);
    affected(3);
    scanned(5);
  };
  const { id, state } = jobs.start(work, note);
  expect(state).toBe('running');
  await eventually(() => ended.length === 1);
  expect(jobs.get(id)).toEqual({ id, state: 'done', scanned: 15, affected: 3 });
});

it('asks the work to stop, and says then that it was cancelled', async () => {
  const jobs = new Jobs();
  let control: JobControl | undefined;
  let finish: () => void = () => undefined;
  const work = (given: JobControl) => ((control = given), new Promise<void>((resolve) => (finish = resolve)));
  const { id } = jobs.start(work, note);
  expect(control?.isCancelled()).toBe(false);
  jobs.cancelAll();
  expect(control?.isCancelled()).toBe(true);
  finish();
  await eventually(() => ended.length === 1);
  expect(jobs.cancel(id)).toMatchObject({ state: 'cancelled' });
  expect(jobs.cancel('none')).toBeUndefined();
});

it('names a failure by its kind', async () => {
  const jobs = new Jobs();
  jobs.start(() => Promise.reject(new TypeError('hunter2')), note);
  await eventually(() => expect(ended).toMatchObject([{ state: 'failed', error: 'TypeError' }]));
});

it('remembers a hundred', () => {
  const jobs = new Jobs();
  const ids = Array.from({ length: 101 }, () => jobs.start(() => Promise.resolve(), note).id);
  expect(jobs.get(ids[0]!)).toBeUndefined();
  expect(jobs.get(ids[1]!)).toBeDefined();
});
