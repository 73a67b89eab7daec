// A file for each manner, so that two workers share them.
import { testFaults } from './torture.ts';

testFaults('pause');
