// Package table holds the tables of a pipeline file: rows read from a CSV or JSON file, found by the value of a key column, and read
// anew from time to time. It knows nothing of pipeline files and expressions; what is wrong with a file comes as problems with a place.
package table
