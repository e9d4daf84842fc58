// Package dialects has the golden tests of the drop-in dialects: classes that
// were written for another provider are mounted by the Secrets Store CSI
// driver's own client through a `lanyard serve` process, and the files are
// compared byte for byte with those beside the class. The same class, converted
// to the native dialect, must give the same files.
//
// The compatibility corpus in testdata/corpus has many more classes as people write
// them, each in a few lines; its README.md says how.
//
// The classes of docs/gallery are mounted too; each needs its files in
// gallery_test.go.
//
// There is nothing to import here. The classes are in the dialects' own
// testdata. To add a dialect, start with golden_test.go, which says how they are
// laid out, and with vault_test.go.
package dialects
