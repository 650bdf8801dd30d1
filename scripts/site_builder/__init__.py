"""The documentation as a site: reference pages made from the program, pages gathered from the checkout, checks."""
